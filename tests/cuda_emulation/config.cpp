#include <cstdio>
#include <cstdlib>
#include <map>

#include "emulation.h"

namespace emulation {
namespace {

// The text of a knob as its value; false: it is none.
bool parse(const std::string& text, Order& order) {
    static const std::map<std::string, Order> names{
        {"forward", Order::forward}, {"reverse", Order::reverse}, {"random", Order::random}};
    const auto found = names.find(text);
    if (found != names.end()) order = found->second;
    return found != names.end();
}

bool parse(const std::string& text, Timing& timing) {
    static const std::map<std::string, Timing> names{
        {"at_once", Timing::at_once}, {"late", Timing::late}, {"random", Timing::random}};
    const auto found = names.find(text);
    if (found != names.end()) timing = found->second;
    return found != names.end();
}

template <class Integer>
bool parse(const std::string& text, Integer& value) {
    char* end = nullptr;
    const unsigned long long number = std::strtoull(text.c_str(), &end, 10);
    if (text.empty() || *end) return false;
    value = static_cast<Integer>(number);
    return true;
}

bool change(Config& config, const std::string& name, const std::string& text) {
    if (name == "order") return parse(text, config.order);
    if (name == "copies") return parse(text, config.copies);
    if (name == "streams") return parse(text, config.streams);
    if (name == "seed") return parse(text, config.seed);
    if (name == "threads") return parse(text, config.os_threads);
    if (name == "stack") return parse(text, config.stack_bytes);
    if (name == "driver") return parse(text, config.driver);
    if (name == "capability") return parse(text, config.capability);
    if (name == "devices") return parse(text, config.devices);
    if (name == "memory") return parse(text, config.device_bytes);
    if (name == "shared") return parse(text, config.shared_bytes);
    if (name == "poison") return parse(text, config.poison);
    if (name == "protect") return parse(text, config.protect);
    return false;
}

Config from_environment() {
    Config config;
    for (const char* name : {"order", "copies", "streams", "seed", "threads", "stack", "driver", "capability",
                             "devices", "memory", "shared", "poison", "protect"}) {
        std::string variable = "CONVKIT_EMULATION_";
        for (const char* letter = name; *letter; ++letter) variable += static_cast<char>(*letter - 'a' + 'A');
        const char* text = std::getenv(variable.c_str());
        if (!text || change(config, name, text)) continue;
        std::fprintf(stderr, "%s=%s is not understood\n", variable.c_str(), text);
        std::exit(2);
    }
    return config;
}

}  // namespace

Config& config() {
    static Config config = from_environment();
    return config;
}

std::string set(const std::string& name, const std::string& value) {
    return change(config(), name, value) ? "" : "the emulation has no " + name + " = " + value;
}

}  // namespace emulation
