#include "fuse/operations.h"

#include <cerrno>

#include "fuse/operation.h"

namespace artifactfs {

namespace {

void init(void* connection, fuse_conn_info* info) { static_cast<Connection*>(connection)->settings.choose(*info); }

// OPEN, OPENDIR: no state is kept per open file, and this answer, given once, makes the kernel stop asking. It then
// sends no RELEASE or RELEASEDIR, and takes pages, listings and links as valid until invalidated.
//
// The same answer comes from libfuse for what has no operation here: FLUSH; CREATE, for which the kernel then sends
// MKNOD; locks, which it keeps itself (nobody else has this mount's files).
void not_needed(fuse_req_t request, fuse_ino_t, fuse_file_info*) { Reply(request).errnum(ENOSYS); }

<<<<<<< HEAD
void lookup(fuse_req_t request, fuse_ino_t parent, const char* name) {
  Reply reply(request);
  const Result<Attributes> found = connection_of(request).filesystem.lookup(parent, name);
  if (found) {
    reply.entry(*found);
  } else if (found.error().code == ErrorCode::not_found) {
    reply.no_entry();
  } else {
    reply.error(found.error());
  }
}

void forget(fuse_req_t request, fuse_ino_t inode, uint64_t count) {
  connection_of(request).filesystem.forget(inode, count);
  Reply(request).nothing();
}

void forget_multi(fuse_req_t request, size_t count, fuse_forget_data* forgotten) {
  Filesystem& filesystem = connection_of(request).filesystem;
  for (const fuse_forget_data& one : std::span(forgotten, count)) filesystem.forget(one.ino, one.nlookup);
  Reply(request).nothing();
}

void getattr(fuse_req_t request, fuse_ino_t inode, fuse_file_info*) {
  run_parkable(request, [&](Reply reply) {
    return connection_of(request).filesystem.getattr(inode,
                                                     [reply = std::move(reply)](Result<Attributes> attributes) mutable {
                                                       if (attributes) {
                                                         reply.attributes(*attributes);
                                                       } else {
                                                         reply.error(attributes.error());
                                                       }
                                                     });
  });
}

void readlink(fuse_req_t request, fuse_ino_t inode) {
  run_parkable(request, [&](Reply reply) {
    return connection_of(request).filesystem.readlink(inode,
                                                      [reply = std::move(reply)](Result<std::string> target) mutable {
                                                        if (target) {
                                                          reply.link_target(*target);
                                                        } else {
                                                          reply.error(target.error());
                                                        }
                                                      });
  });
}

void read(fuse_req_t request, fuse_ino_t inode, size_t size, off_t offset, fuse_file_info*) {
  run_parkable(request, [&](Reply reply) {
    return connection_of(request).filesystem.read(inode, static_cast<uint64_t>(offset), size,
                                                  [reply = std::move(reply)](Result<ReadData> data) mutable {
                                                    if (data) {
                                                      reply.data({data->bytes.get(), data->size});
                                                    } else {
                                                      reply.error(data.error());
                                                    }
                                                  });
  });
}

void open_after_read(fuse_req_t request, fuse_ino_t inode, fuse_file_info* info) {
  run_parkable(request, [&](Reply reply) {
    return connection_of(request).filesystem.read(
        inode, 0, 1, [reply = std::move(reply), info = *info](Result<ReadData> data) mutable {
          if (data) {
            reply.opened(info);
          } else {
            reply.error(data.error());
          }
        });
  });
}

// `add(buffer, room, name, entry)` writes one entry in libfuse's form and returns the bytes it takes, more than `room`
// if it did not fit.
template <typename Add>
void list(fuse_req_t request, fuse_ino_t inode, size_t size, off_t offset, Add&& add) {
  Reply reply(request);
  const auto buffer = std::make_unique_for_overwrite<char[]>(size);
  size_t used = 0;
  const auto emit = [&](const DirectoryEntry& entry) {
    if (entry.name.size() > kMaxNameBytes) return true;
    std::array<char, kMaxNameBytes + 1> name;
    std::memcpy(name.data(), entry.name.data(), entry.name.size());
    name[entry.name.size()] = '\0';
    const size_t taken = add(buffer.get() + used, size - used, name.data(), entry);
    if (taken > size - used) return false;
    used += taken;
    return true;
  };
  const auto listed = connection_of(request).filesystem.read_directory(inode, static_cast<uint64_t>(offset), emit);
  if (!listed) {
    reply.error(listed.error());
  } else {
    reply.data(std::as_bytes(std::span(buffer.get(), used)));
  }
}

void readdir(fuse_req_t request, fuse_ino_t inode, size_t size, off_t offset, fuse_file_info*) {
  list(request, inode, size, offset,
       [request](char* buffer, size_t room, const char* name, const DirectoryEntry& entry) {
         struct stat stat {};
         stat.st_ino = entry.attributes.inode;
         stat.st_mode = entry.attributes.mode;
         return fuse_add_direntry(request, buffer, room, name, &stat, static_cast<off_t>(entry.next_cookie));
       });
}

void readdirplus(fuse_req_t request, fuse_ino_t inode, size_t size, off_t offset, fuse_file_info*) {
  list(request, inode, size, offset,
       [request](char* buffer, size_t room, const char* name, const DirectoryEntry& directory_entry) {
         fuse_entry_param entry = to_entry(directory_entry.attributes);
         // The kernel links every entry with a node id, which counts as a lookup; not these two.
         if (std::string_view(name) == "." || std::string_view(name) == "..") entry.ino = 0;
         return fuse_add_direntry_plus(request, buffer, room, name, &entry,
                                       static_cast<off_t>(directory_entry.next_cookie));
       });
}

bool is_unsupported_attribute(std::string_view name) {
  // The kernel and ls ask for these at every turn, and stop when told that there is no such thing.
  return name == "security.selinux" || name == "system.posix_acl_access" || name == "system.posix_acl_default";
}

void getxattr(fuse_req_t request, fuse_ino_t inode, const char* name, size_t size) {
  Reply reply(request);
  if (is_unsupported_attribute(name)) return reply.errnum(EOPNOTSUPP);
  const Result<std::string> value = connection_of(request).filesystem.getxattr(inode, name);
  if (value) {
    reply.attribute_value(*value, size);
  } else {
    reply.error(value.error());
  }
}

void listxattr(fuse_req_t request, fuse_ino_t inode, size_t size) {
  Reply reply(request);
  const Result<std::vector<std::string>> names = connection_of(request).filesystem.listxattr(inode);
  if (!names) return reply.error(names.error());
  std::string list;
  for (const std::string& name : *names) list.append(name).push_back('\0');
  reply.attribute_value(list, size);
}

void statfs(fuse_req_t request, fuse_ino_t) {
  Reply reply(request);
  const Result<FilesystemStats> stats = connection_of(request).filesystem.statfs();
  if (stats) {
    reply.statistics(*stats);
  } else {
    reply.error(stats.error());
  }
}

fuse_lowlevel_ops make_operations(bool open_reads) {
=======
fuse_lowlevel_ops make_operations() {
>>>>>>> 163c873 (fuse: the operations that change something)
  fuse_lowlevel_ops table{};
  table.init = init;
  table.open = open_reads ? open_after_read : not_needed;
  table.opendir = not_needed;
  add_name_operations(table);
  add_read_operations(table);
  add_directory_operations(table);
  add_write_operations(table);
  return table;
}

}  // namespace

<<<<<<< HEAD
const fuse_lowlevel_ops& operations(bool open_reads) {
  static const fuse_lowlevel_ops usual = make_operations(false);
  static const fuse_lowlevel_ops opening = make_operations(true);
  return open_reads ? opening : usual;
=======
Caller caller_of(fuse_req_t request) {
  const fuse_ctx* const context = fuse_req_ctx(request);
  return {.uid = context->uid, .gid = context->gid, .pid = context->pid};
}

void note_interrupt(fuse_req_t request, void* parked_id) {
  connection_of(request).interrupts.watch(reinterpret_cast<uint64_t>(parked_id));
}

const fuse_lowlevel_ops& operations() {
  static const fuse_lowlevel_ops table = make_operations();
  return table;
>>>>>>> 163c873 (fuse: the operations that change something)
}

}  // namespace artifactfs
