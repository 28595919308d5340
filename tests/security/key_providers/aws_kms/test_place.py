"""Which key is meant, where it is asked for, and what is refused before anybody is asked."""

from __future__ import annotations

import pytest

from mycelium_fractal_net.security.errors import ConfigurationError, CustodianUnavailableError
from mycelium_fractal_net.security.key_providers.aws_kms import KmsPlace
from mycelium_fractal_net.security.key_providers.aws_kms.place import KeyArn

KEY = "1234abcd-12ab-34cd-56ef-1234567890ab"
ARN = f"arn:aws:kms:eu-central-1:111122223333:key/{KEY}"
MULTI = "arn:aws-us-gov:kms:us-gov-west-1:111122223333:key/mrk-1234abcd12ab34cd56ef1234567890ab"


@pytest.mark.parametrize(
    ("key_id", "region"),
    [
        (KEY, None),
        ("alias/orders/live_1", None),
        (ARN, "eu-central-1"),
        ("arn:aws:kms:eu-central-1:111122223333:alias/orders", "eu-central-1"),
        (MULTI, "us-gov-west-1"),
    ],
)
def test_a_region_stands_in_an_arn(key_id: str, region: str | None) -> None:
    """And is asked where the settings name none."""
    place = KmsPlace(key_id)
    assert place.asked_region == region
    assert place.asked_key == key_id


def test_a_multi_region_key_is_asked_where_the_settings_say() -> None:
    """It is the same key there, and has the same name in a store."""
    place = KmsPlace(MULTI, region="us-gov-east-1")
    assert place.asked_region == "us-gov-east-1"
    assert place.asked_key == MULTI.replace("west", "east")
    here, there = KeyArn.of_answer(MULTI), KeyArn.of_answer(place.asked_key)
    assert here.kek_id == there.kek_id
    assert "us-gov" not in here.kek_id.replace("aws-us-gov", "")
    assert (str(here), str(there)) == (MULTI, place.asked_key)


@pytest.mark.parametrize("key_id", [ARN, "arn:aws:kms:eu-central-1:111122223333:alias/orders"])
def test_two_regions_are_refused(key_id: str) -> None:
    """An ARN names one, the setting another, and no key is in both."""
    assert KmsPlace(key_id, region="eu-central-1").asked_key == key_id
    with pytest.raises(ConfigurationError, match="MFN_AWS_REGION"):
        KmsPlace(key_id, region="eu-west-1")


@pytest.mark.parametrize(
    "key_id",
    [
        "alias/",
        "orders!",
        f"{ARN}/more",
        f"{ARN}\n",
        "alias/x; rm -rf",
        f"arn:aws:s3:::{KEY}",
        "arn:aws:kms:eu-central-1:1:key/x",
        "",
    ],
)
def test_what_names_no_key_is_refused(key_id: str) -> None:
    """Before anybody is asked."""
    with pytest.raises(ConfigurationError, match="MFN_AWS_KMS_KEY_ID"):
        KmsPlace(key_id)


@pytest.mark.parametrize("answer", [None, 7, "", KEY, f"alias/{KEY}"])
def test_an_answer_without_an_arn_is_not_used(answer: object) -> None:
    """It is no name of a key that could be kept."""
    with pytest.raises(CustodianUnavailableError):
        KeyArn.of_answer(answer)


@pytest.mark.parametrize(
    "url",
    [
        "https://kms-fips.us-east-1.amazonaws.com",
        "https://vpce-1.kms.eu-central-1.vpce.amazonaws.com:8443",
        "http://127.0.0.1:4566",
        "http://[::1]:1",
        "http://localhost:4566",
    ],
)
def test_an_endpoint_has_tls_or_is_this_machine(url: str) -> None:
    """Keys are sent there to be wrapped."""
    assert KmsPlace(KEY, endpoint_url=url).endpoint_url == url


@pytest.mark.parametrize(
    "url",
    [
        "http://kms.eu-central-1.amazonaws.com",
        "http://10.0.0.1:4566",
        "ftp://127.0.0.1",
        "https://",
        "kms.eu-central-1.amazonaws.com",
        "https://user:hunter2@kms.example",
        "https://[::1",
        "https://kms.example:99999",
    ],
)
def test_another_endpoint_is_refused(url: str) -> None:
    """The setting is named, and what it says is not shown."""
    with pytest.raises(ConfigurationError, match="MFN_AWS_ENDPOINT_URL") as caught:
        KmsPlace(KEY, endpoint_url=url)
    assert "hunter2" not in str(caught.value)
