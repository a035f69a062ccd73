"""The Prefect flows, for whoever schedules or watches amends: the only room that imports Prefect.

`sweep` and `resolve_case` run the same steps as the command line, one Prefect task run per step and batch. The ledger
stays the truth: Prefect schedules, shows and retries whole sweeps, and nothing more. Parameters, names, tags, logs and
artifacts carry ids and masks only. Importing this package imports nothing; import the module that you need.
"""
