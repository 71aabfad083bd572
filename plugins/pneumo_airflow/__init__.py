"""Pneumo inside Airflow: what its DAGs are wired with, and the plugin that the UI loads."""
