using System.Collections.Immutable;
using Ka.Broadcast;
using Ka.Core.Clusters;
using Ka.Core.Documents;
using Ka.Yaml;

namespace Ka.Server.Configuration;

/// <summary>Reads <c>broadcast</c> of a cluster file: what the ways to broadcast that need settings need.</summary>
static class BroadcastReader
{
    const int PortByDefault = 8484;
    const long RateByDefault = 400_000_000;

    /// <param name="folder">Where a relative path of the site's program begins.</param>
    public static BroadcastSettings Read(YamlBinder binder, YamlSection file, string folder)
    {
        var section = file.Section("broadcast", "multicast", "custom", "straggler", "floor", "encrypt", "ring");
        return new BroadcastSettings(
            section.Has("multicast") ? Multicast(section.Section("multicast", "group", "port", "ttl", "rate")) : null,
            section.Has("custom") ? Custom(section, folder) : null)
        {
            Stragglers = Stragglers(section),
            Encrypt = section.Bool("encrypt", fallback: false),
            RingBytes = (int?)section.OptionalSize("ring", ChainOptions.LeastRing, ChainOptions.LargestRing),
        };
    }

    static MulticastSettings Multicast(YamlSection section)
    {
        var group = section.RequiredText("group");
        if (group.Length > 0 && !MulticastSettings.IsGroup(group))
            section.Refuse("group", SiteReader.Code, $"'{DocumentError.Cut(group)}' is no multicast address", "an IPv4 address from 224.0.0.0 to 239.255.255.255, such as 239.192.75.1");
        var rate = section.OptionalText("rate");
        var bits = RateByDefault;
        if (rate is not null && !DataRate.TryParse(rate, out bits))
            section.Refuse("rate", SiteReader.Code, $"'{DocumentError.Cut(rate)}' is no rate", DataRate.Expected);
        return new MulticastSettings(group, section.Int("port", 1, 65535, PortByDefault), section.Int("ttl", 1, 255, 1), bits);
    }

    static StragglerRules Stragglers(YamlSection section)
    {
        var (policy, floor) = (section.OptionalText("straggler"), section.OptionalText("floor"));
        var (what, rate) = (StragglerRules.Default.Policy, 0L);
        if (policy is not null && !StragglerRules.TryParse(policy, out what))
            section.Refuse("straggler", SiteReader.Code, $"'{DocumentError.Cut(policy)}' is no policy for stragglers", "keep, tail or evict");
        if (floor is not null && !DataRate.TryParse(floor, out rate))
            section.Refuse("floor", SiteReader.Code, $"'{DocumentError.Cut(floor)}' is no rate", DataRate.Expected);
        return new StragglerRules(what, rate);
    }

    static CustomBroadcastSettings Custom(YamlSection section, string folder)
    {
        var words = section.TextList("custom");
        if (words.IsEmpty)
            section.Refuse("custom", SiteReader.Code, "the site's program has no name", "custom: [PROGRAM, ARGUMENT…], as in [bring.sh, \"{image}\", \"{nodes}\", \"{destination}\"]");
        foreach (var word in words.Skip(1))
            if (CustomCommand.Unknown(word) is { } unknown)
                section.Refuse("custom", SiteReader.Code, $"'{DocumentError.Cut(word)}' asks for '{unknown}', which is not known", string.Join(", ", CustomCommand.Words.Select(w => "{" + w + "}")));
        return new CustomBroadcastSettings(words.IsEmpty ? [] : [Path.GetFullPath(words[0], folder), .. words.Skip(1)]);
    }
}
