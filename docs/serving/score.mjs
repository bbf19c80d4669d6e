// Score rows with a file of skmtl.export.to_onnx, without Python:
//
//     npm install onnxruntime-node
//     node score.mjs ranker.onnx rows.json > probabilities.json
//
// rows.json is a list of objects from column to cell.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

// From the folder it is started in, where npm has put the package.
const ort = createRequire(process.cwd() + "/")("onnxruntime-node");
const [model, table] = process.argv.slice(2);
const rows = JSON.parse(readFileSync(table, "utf8"));
// What the Python file's metadata say of its inputs, as written beside it.
const inputs = JSON.parse(readFileSync(model.replace(/onnx$/, "json"), "utf8"));

function tensor({ column, dtype, is_list, missing }) {
  const cells = rows.map((row) => row[column] ?? null);
  const lists = is_list ? cells.map((cell) => cell ?? []) : cells.map((cell) => [cell]);
  const width = Math.max(1, ...lists.map((list) => list.length));
  const flat = lists.flatMap((list) => [...list, ...Array(width - list.length).fill(null)]);
  const filled = flat.map((cell) => cell ?? missing);
  const shape = [rows.length, width];
  if (dtype === "string") return new ort.Tensor("string", filled, shape);
  if (dtype === "int64") {
    return new ort.Tensor("int64", BigInt64Array.from(filled, BigInt), shape);
  }
  return new ort.Tensor("float64", Float64Array.from(filled, (x) => x ?? NaN), shape);
}

const session = await ort.InferenceSession.create(model, { logSeverityLevel: 3 });
const feeds = Object.fromEntries(inputs.map((one) => [one.input, tensor(one)]));
const found = await session.run(feeds);
console.log(JSON.stringify(Array.from(found.probabilities.data)));
