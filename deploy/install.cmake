# Run by `cmake --install`: units name the programs and files of this very installation, whose prefix need not be that of the build
# (--prefix, packages). Takes `deploy`, `work` (folders) and `bindir`, `datadir` (below the prefix).
cmake_policy(VERSION 3.25)
set(prefix ${CMAKE_INSTALL_PREFIX})
set(bindir ${prefix}/${bindir})
# As the file system hierarchy has it: what is below /usr is configured in /etc.
if(prefix STREQUAL /usr)
  set(sysconfdir /etc)
else()
  set(sysconfdir ${prefix}/etc)
endif()

foreach(unit mandrill-publisher mandrill-consumer mandrill-worker@)
  configure_file(${deploy}/systemd/${unit}.service.in ${work}/${unit}.service @ONLY)
  file(INSTALL ${work}/${unit}.service DESTINATION ${prefix}/lib/systemd/system)
endforeach()

file(GLOB examples ${deploy}/config/*.zpl)
file(INSTALL ${examples} DESTINATION ${prefix}/${datadir}/doc/mandrill/examples)
# What somebody has changed stays.
foreach(example ${examples})
  get_filename_component(name ${example} NAME)
  if(NOT EXISTS $ENV{DESTDIR}${sysconfdir}/mandrill/${name})
    file(INSTALL ${example} DESTINATION ${sysconfdir}/mandrill)
  endif()
endforeach()
