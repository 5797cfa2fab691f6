"""The file servers of HiPERCAM and ULTRACAM: one client for each, and lists of the runs that they have."""

from roque.spool.servers.hipercam import HipercamServer
from roque.spool.servers.ultracam import UltracamServer

__all__ = ["HipercamServer", "UltracamServer"]
