"""An answer of the API is as its OpenAPI file says."""

from typing import Any

from jsonschema import Draft202012Validator
from werkzeug.test import TestResponse

KEY = {"Authorization": "Bearer the-service-role-key"}


def as_described(answer: TestResponse, description: dict[str, Any], path: str, method: str = "get") -> Any:
    """The JSON of an answer, which is as the file says: not a name more or less, and each of its type."""
    responses = description["paths"][path][method]["responses"]
    assert str(answer.status_code) in responses
    response = responses[str(answer.status_code)]
    if "$ref" in response:
        response = description["components"]["responses"]["Refused"]
    schema = response["content"]["application/json"]["schema"] | {"components": description["components"]}
    found = answer.get_json()
    Draft202012Validator(_exact(schema), format_checker=Draft202012Validator.FORMAT_CHECKER).validate(found)
    return found


def _exact(schema: Any) -> Any:
    """The schema, with no names allowed but those that it describes."""
    if isinstance(schema, list):
        return [_exact(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    exact = {name: _exact(value) for name, value in schema.items()}
    return exact | {"additionalProperties": False} if "properties" in exact and "required" in exact else exact
