if(TARGET isthmus_audio)
  isthmus_fuzz(audio_receive LINKS isthmus_audio)
endif()
