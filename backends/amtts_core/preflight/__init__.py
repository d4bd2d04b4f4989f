"""The checks of `amtts validate-e2e`."""
