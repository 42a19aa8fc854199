"""A network as one ONNX file, written from its layers and weights. The modules that write or read files need `onnx`."""
