"""The pages that show promotion reports inside the Airflow UI."""
