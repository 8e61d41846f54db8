"""The file that ships, `<name>.omni.safetensors`: int8 values near their entropy, read without torch."""
