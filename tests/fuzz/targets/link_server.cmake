if(TARGET isthmus_quic)
  isthmus_fuzz(link_server LINKS isthmus_quic)
endif()
