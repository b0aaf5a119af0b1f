"""ONNX graphs: export, optimisation levels, dynamic int8, sidecars."""
