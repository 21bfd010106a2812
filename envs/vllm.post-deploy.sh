# The package itself, from the checkout: a change in mira/ needs no new environment.
python -m pip install --no-deps --editable "${MIRA_ROOT:-$PWD}"
