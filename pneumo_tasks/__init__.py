"""Pneumo: the retraining tasks of a chest X-ray pneumonia classifier, plain Python without Airflow."""

__version__ = "0.1.0"
