isthmus_fuzz(wire_session LINKS isthmus_wire)
