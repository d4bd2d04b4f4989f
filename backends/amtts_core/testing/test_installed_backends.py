"""`pytest --pyargs amtts_core.testing`: the contract, held by the backends that other packages have installed."""

from amtts_core.contract.registry import list_backends
from amtts_core.testing.suite import contract_tests

test_contract = contract_tests(*(entry.name for entry in list_backends() if entry.distribution != "amtts"))
