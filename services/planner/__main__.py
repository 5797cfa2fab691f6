"""`python -m services.planner`."""

from roque.process import serve
from services.planner.app import work

serve("planner", work)
