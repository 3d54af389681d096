"""What nobody needs any more: snapshots without a record, leftovers of processes that were killed, old records."""
