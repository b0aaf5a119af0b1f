"""What a published folder says, in the formats of others: a bill of materials, an onnxruntime model package."""
