"""`python -m services.ingest`."""

from roque.process import serve
from services.ingest.app import work

serve("ingest", work)
