// Tuning stores in files. A file is replaced as a whole, by renaming, and changed under a lock that
// all processes take, so that nothing of what several write at once is lost, and readers, who take
// no lock, see one state or the other.
#pragma once

#include <clattn/log.hpp>
#include <filesystem>
#include <functional>
#include <vector>

#include "host/tuning/store.hpp"

namespace clattn {

// $XDG_DATA_HOME/clattn/tuning.json, else $HOME/.local/share/clattn/tuning.json, else empty.
std::filesystem::path user_store_path();
// clattn/tuning.json in each folder of $XDG_DATA_DIRS, else of /usr/local/share and /usr/share.
std::vector<std::filesystem::path> system_store_paths();
// The store that is built into the library.
const TuningStore& shipped_store();

// Throws Error (invalid_argument): the file is not there, can't be read, or is no store.
TuningStore read_store(const std::filesystem::path& path, Trials trials = Trials::read);
// Reads the store (an absent file is an empty one), lets `change` change it, and writes it, while
// no other process does. Throws Error (invalid_argument) and leaves the file as it is where it
// can't be read, is no store, or can't be written.
void update_store(const std::filesystem::path& path,
                  const std::function<void(TuningStore& store)>& change);

// User over system over shipped. Files that can't be read are left out, and `log` hears why; absent
// ones are no news.
std::vector<TuningLayer> default_layers(const LogCallback& log, Trials trials = Trials::read);

}  // namespace clattn
