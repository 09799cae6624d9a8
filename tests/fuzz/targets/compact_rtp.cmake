isthmus_fuzz(compact_rtp LINKS isthmus_wire)
