isthmus_fuzz(link_server LINKS isthmus_quic)
