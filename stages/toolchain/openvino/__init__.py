"""OpenVINO IR: export, static int8, int8 weights, half precision."""
