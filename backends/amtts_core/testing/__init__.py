"""The contract suite, for packages that add a backend.

    pytest --pyargs amtts_core.testing

runs it over every installed backend that is not amtts's own. A backend that cannot be built without settings has a test
file of two lines:

    from amtts_core.testing import contract_tests
    test_contract = contract_tests("my-model", model={"codec_weights": "..."})
"""

from amtts_core.testing.suite import contract_tests as contract_tests
