"""The `mini` corpus: spoken commands to a device, written by a grammar and read aloud by eSpeak NG."""
