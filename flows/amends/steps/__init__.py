"""What moves cases on: plain async functions on a shop and the cases it has claimed. No Prefect."""
