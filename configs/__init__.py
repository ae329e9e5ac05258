"""The shipped experiments, one YAML file each; `litzoo configs` lists them."""
