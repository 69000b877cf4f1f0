# Where things are installed; included from the top CMakeLists.txt.
install(TARGETS artifactfs RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
# Started by `artifactfs` and by git, not by people.
install(TARGETS artifactfs-daemon artifactfs-fsmonitor artifactfs-credential
  RUNTIME DESTINATION ${CMAKE_INSTALL_LIBEXECDIR}/artifactfs)

install(FILES packaging/man/artifactfs.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)

file(READ ${PROJECT_SOURCE_DIR}/systemd/artifactfs.service unit)
string(REPLACE "/usr/bin/" "${CMAKE_INSTALL_FULL_BINDIR}/" unit "${unit}")
file(WRITE ${PROJECT_BINARY_DIR}/artifactfs.service "${unit}")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/systemd/artifactfs.service)
install(FILES ${PROJECT_BINARY_DIR}/artifactfs.service DESTINATION ${CMAKE_INSTALL_PREFIX}/lib/systemd/system)

install(FILES README.md CHANGELOG.md LICENSE docs/architecture.md docs/semantics.md docs/dependencies.md
  DESTINATION ${CMAKE_INSTALL_DOCDIR})
