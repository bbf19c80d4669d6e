"""Data sets: embedded, downloaded and generated."""

from skmtl.datasets._adult import load_adult
from skmtl.datasets._census_income import fetch_census_income
from skmtl.datasets._correlated_tasks import make_correlated_tasks
from skmtl.datasets._funnel import make_funnel
from skmtl.datasets._remote import get_data_home
from skmtl.datasets._user_behavior import fetch_user_behavior

__all__ = [
    "fetch_census_income",
    "fetch_user_behavior",
    "get_data_home",
    "load_adult",
    "make_correlated_tasks",
    "make_funnel",
]
