"""What schemathesis must not do: it reads about its own key in a list, and would revoke it."""

import os

import schemathesis

OWN_KEY = os.environ["KEY_ID"]
NOBODY = "key_" + "0" * 26


@schemathesis.hook
def before_call(context, case, kwargs):
    parameters = case.path_parameters or {}
    for name, value in parameters.items():
        if value == OWN_KEY:
            parameters[name] = NOBODY
