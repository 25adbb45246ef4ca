"""What turns a prompt into text: the embedded engine, and the Protocol that every engine keeps."""
