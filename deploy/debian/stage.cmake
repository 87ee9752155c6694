# Run by cpack when everything is installed below a folder of its own and before it is packed: what Debian's policy wants of a package
# and an installation by hand does without.
cmake_policy(VERSION 3.25)
set(root ${CPACK_TEMPORARY_INSTALL_DIRECTORY})
set(doc ${root}/usr/share/doc/mandrill)
file(GLOB pages ${root}/usr/share/man/man*/*)
if(NOT pages)
  message(FATAL_ERROR "There are no man pages: scdoc was not installed when the build was configured.")
endif()
file(STRINGS ${CPACK_MANDRILL_DEBIAN}/changelog newest LIMIT_COUNT 1)
string(FIND "${newest}" "mandrill (${CPACK_PACKAGE_VERSION}) " at)
if(NOT at EQUAL 0)
  message(FATAL_ERROR "deploy/debian/changelog begins with \"${newest}\" and not with version ${CPACK_PACKAGE_VERSION}.")
endif()

# Not by file(INSTALL), which would put DESTDIR in front once more.
configure_file(${CPACK_MANDRILL_DEBIAN}/copyright ${doc}/copyright COPYONLY)
configure_file(${CPACK_MANDRILL_DEBIAN}/changelog ${doc}/changelog COPYONLY)
execute_process(COMMAND gzip -9nf ${pages} ${doc}/changelog COMMAND_ERROR_IS_FATAL ANY)
# Whatever the umask is of who makes the package.
execute_process(COMMAND chmod -R u=rwX,go=rX ${root} COMMAND_ERROR_IS_FATAL ANY)
