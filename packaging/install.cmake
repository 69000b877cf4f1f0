# Where things are installed; included from the top CMakeLists.txt.
install(TARGETS artifactfs RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
# Started by `artifactfs`, not by people.
install(TARGETS artifactfs-daemon RUNTIME DESTINATION ${CMAKE_INSTALL_LIBEXECDIR}/artifactfs)

file(GLOB man_pages CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/docs/*.1)
install(FILES ${man_pages} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)

file(READ ${PROJECT_SOURCE_DIR}/systemd/artifactfs.service unit)
string(REPLACE "/usr/bin/" "${CMAKE_INSTALL_FULL_BINDIR}/" unit "${unit}")
file(WRITE ${PROJECT_BINARY_DIR}/artifactfs.service "${unit}")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/systemd/artifactfs.service)
install(FILES ${PROJECT_BINARY_DIR}/artifactfs.service DESTINATION ${CMAKE_INSTALL_PREFIX}/lib/systemd/system)

install(FILES README.md CHANGELOG.md LICENSE docs/architecture.md docs/semantics.md docs/dependencies.md
  DESTINATION ${CMAKE_INSTALL_DOCDIR})
