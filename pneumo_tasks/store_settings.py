"""The part of the settings that says where the bucket is and how it is reached."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from pneumo_tasks.secret_values import open_way_fault
from pneumo_tasks.setting_types import Address


class StoreSettings(BaseSettings):
    """Each field is ``PNEUMO_<FIELD>`` in the environment, or comes from the Airflow connection."""

    model_config = SettingsConfigDict(
        env_prefix="PNEUMO_", frozen=True, extra="forbid", env_ignore_empty=True
    )

    s3_endpoint: Address | None = Field(None, description="URL of the S3 server; empty means AWS")
    open_hosts: str = Field(
        "", description="Hosts (by commas) of a network of your own that may be reached by plain http://"
    )
    s3_region: str | None = Field(None, description="Empty: boto3's own chain, then us-east-1")
    s3_addressing: Literal["path", "virtual"] = Field(
        "path", description="At an endpoint: the bucket stands in the path, or (virtual) in the host's name"
    )
    bucket: str = Field("pneumo", pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")
    s3_access_key: SecretStr | None = Field(None, description="only where the AWS variables do not serve")
    s3_secret_key: SecretStr | None = None
    s3_session_token: SecretStr | None = Field(None, description="of temporary keys, beside the two above")
    s3_profile: str | None = Field(None, description="of ~/.aws, in place of keys; empty: AWS_PROFILE")
    s3_role_arn: str | None = Field(None, description="A role to assume with those credentials, and renew")
    s3_role_external_id: str | None = Field(None, description="what that role asks for, if anything")
    ca_bundle: Path | None = Field(
        None, description="PEM file of a private authority, for the store and for Airflow's API"
    )
    s3_encryption: Literal["AES256", "aws:kms"] | None = Field(
        None, description="Asked for with every write, where the bucket demands it; empty: not asked for"
    )
    s3_kms_key: str | None = Field(None, description="Key of aws:kms; empty: the bucket's own")
    require_connection: bool = Field(
        False, description="Tasks take the store from the Airflow connection pneumo_s3 alone, or fail"
    )

    @model_validator(mode="after")
    def _store_belongs_together(self) -> Self:
        if (self.s3_access_key is None) != (self.s3_secret_key is None):
            raise ValueError("s3_access_key and s3_secret_key go together")
        if self.s3_session_token is not None and self.s3_access_key is None:
            raise ValueError("s3_session_token goes with s3_access_key and s3_secret_key")
        if self.s3_kms_key and self.s3_encryption != "aws:kms":
            raise ValueError("s3_kms_key belongs to s3_encryption aws:kms")
        for name in ("s3_endpoint", "airflow_url"):  # the second is a field of the whole settings
            if fault := open_way_fault(getattr(self, name, None) or "", self.open_hosts):
                raise ValueError(f"{name} is {fault}")
        return self
