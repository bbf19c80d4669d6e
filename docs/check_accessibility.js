// Check the pages of a built site with axe in headless Chromium:
//
//   npm install --no-save puppeteer-core axe-core
//   node docs/check_accessibility.js HTML [PAGE ...]
//
// Without pages all are checked, in the light and in the dark theme, at a width of 1400
// and of 400 pixels. CHROMIUM names the browser. The exit status is 1 if a page has a
// violation of WCAG 2.2 A or AA, or of axe's best practices.
"use strict";

const fs = require("fs");
const path = require("path");
const puppeteer = require("puppeteer-core");

const CHROMIUM = process.env.CHROMIUM || "/usr/bin/chromium";
const AXE = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const SCHEMES = ["light", "dark"];
const WIDTHS = [1400, 400];

function pagesOf(site) {
  return fs
    .readdirSync(site, { recursive: true })
    .filter((name) => name.endsWith(".html") && !name.startsWith("_"))
    .sort();
}

async function violations(browser, address, scheme, width) {
  const tab = await browser.newPage();
  await tab.setViewport({ width, height: 900 });
  await tab.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
  await tab.goto(address, { waitUntil: "load" });
  await tab.addStyleTag({ content: "* { transition: none !important; }" });
  await tab.evaluate(AXE);
  const { violations } = await tab.evaluate(() => window.axe.run());
  await tab.close();
  return violations;
}

async function main(site, chosen) {
  const browser = await puppeteer.launch({
    executablePath: CHROMIUM,
    args: ["--no-sandbox", "--allow-file-access-from-files"],
  });
  const pages = chosen.length ? chosen : pagesOf(site);
  let count = 0;
  for (const page of pages) {
    for (const scheme of SCHEMES) {
      for (const width of WIDTHS) {
        const address = "file://" + path.resolve(site, page);
        for (const found of await violations(browser, address, scheme, width)) {
          count += 1;
          console.log(`${page} (${scheme}, ${width} px): ${found.id}: ${found.help}`);
          for (const node of found.nodes.slice(0, 3)) {
            console.log(`    ${node.target.join(" ")}: ${node.html.slice(0, 160)}`);
          }
        }
      }
    }
  }
  await browser.close();
  console.log(`${pages.length} pages, ${count} violations`);
  return count ? 1 : 0;
}

const [site, ...chosen] = process.argv.slice(2);
main(site, chosen).then((status) => process.exit(status));
