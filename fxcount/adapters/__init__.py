"""What fxcount knows of model libraries: how to build a model by name, and its inputs. Optional imports only."""
