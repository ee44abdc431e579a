# Writes OUT: FILES, one after the other, as a zero-terminated C array NAME, where there is a NAME; with HASH_NAME also a macro with a hash
# of FILES and HASH_FILES. SPDX-License-Identifier: Apache-2.0
# cmake -DOUT=... -DNAME=... -DFILES=a|b -P embed.cmake
string(REPLACE "|" ";" FILES "${FILES}")
string(REPLACE "|" ";" HASH_FILES "${HASH_FILES}")

set(hex "")
foreach(file IN LISTS FILES)
  file(READ ${file} part HEX)
  string(APPEND hex "${part}")
endforeach()
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
string(REPEAT "0x[0-9a-f][0-9a-f]," 24 line)
string(REGEX REPLACE "(${line})" "\\1\n" bytes "${bytes}")
set(text "/* Generated. */\n")
if(NAME)
  string(APPEND text "static const char ${NAME}[] = {\n${bytes}0};\n")
endif()

if(HASH_NAME)
  foreach(file IN LISTS HASH_FILES)
    file(READ ${file} part HEX)
    string(APPEND hex "${part}")
  endforeach()
  string(SHA256 hash "${hex}")
  string(SUBSTRING ${hash} 0 16 hash)
  string(APPEND text "#define ${HASH_NAME} UINT64_C(0x${hash})\n")
endif()
file(WRITE ${OUT} "${text}")
