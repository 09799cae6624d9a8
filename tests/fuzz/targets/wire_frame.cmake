isthmus_fuzz(wire_frame LINKS isthmus_wire)
