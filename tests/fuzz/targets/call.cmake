isthmus_fuzz(dialog_info LINKS isthmus_call)
