using System.Collections.Immutable;
using Ka.Core.Clusters;
using Ka.Core.Documents;
using Ka.Core.Faults;

namespace Ka.Server.Configuration;

/// <summary>Reads strategies as a person writes them in one word: <c>minimal-env=kexec,untrusted:1:300s</c>.</summary>
public static class StrategyWords
{
    /// <summary>The cluster with these strategies in place of its own; those of macro steps that are not named stay.</summary>
    public static Cluster Over(Cluster cluster, IEnumerable<string> words, ICollection<Fault> faults)
    {
        foreach (var word in words)
        {
            var parts = word.Split('=', 2);
            var known = parts[0] switch
            {
                "minimal-env" => Cluster.KnownMinimalEnv,
                "install" => Cluster.KnownInstall,
                "boot" => Cluster.DefaultBoot,
                _ => [],
            };
            if (parts.Length != 2 || known.IsEmpty)
            {
                faults.Add(Fault.Of(FaultCodes.StrategyInvalid, $"'{DocumentError.Cut(word)}' names no macro step: expected minimal-env=…, install=… or boot=…"));
                continue;
            }
            var mine = parts[0] switch { "minimal-env" => cluster.MinimalEnv, "install" => cluster.Install, _ => cluster.Boot };
            ImmutableArray<StrategySettings> read = [.. parts[1].Split(',').Select(s => Strategy(s, parts[0], mine, known, faults)).OfType<StrategySettings>()];
            cluster = parts[0] switch
            {
                "minimal-env" => cluster with { MinimalEnv = read },
                "install" => cluster with { Install = read },
                _ => cluster with { Boot = read },
            };
        }
        return cluster;
    }

    /// <param name="mine">The cluster's own strategies: what is not said is as there.</param>
    static StrategySettings? Strategy(string text, string step, ImmutableArray<StrategySettings> mine, ImmutableArray<StrategySettings> known, ICollection<Fault> faults)
    {
        var parts = text.Split(':');
        var settings = mine.FirstOrDefault(s => s.Do == parts[0]) ?? known.FirstOrDefault(s => s.Do == parts[0]);
        if (settings is null)
        {
            var near = Suggestion.Nearest(parts[0], known.Select(k => k.Do));
            faults.Add(Fault.Of(FaultCodes.StrategyInvalid, $"'{DocumentError.Cut(parts[0])}' is no strategy of {step}{(near is null ? "" : $", did you mean '{near}'?")}; known: {string.Join(", ", known.Select(k => k.Do))}"));
            return null;
        }
        if (parts.Length > 3)
            faults.Add(Fault.Of(FaultCodes.StrategyInvalid, $"'{DocumentError.Cut(text)}': expected NAME[:RETRIES[:TIMEOUT]]"));
        if (parts is [_, { Length: > 0 } retries, ..])
        {
            if (int.TryParse(retries, out var count) && count is >= 0 and <= 20)
                settings = settings with { Retries = count };
            else
                faults.Add(Fault.Of(FaultCodes.StrategyInvalid, $"'{DocumentError.Cut(text)}': retries are a number from 0 to 20"));
        }
        if (parts is [_, _, { Length: > 0 } timeout])
        {
            if (Quantity.TryParseDuration(timeout, out var time) && time >= TimeSpan.FromSeconds(1) && time <= TimeSpan.FromHours(24))
                settings = settings with { Timeout = time };
            else
                faults.Add(Fault.Of(FaultCodes.StrategyInvalid, $"'{DocumentError.Cut(text)}': the timeout is a time from 1s to 24h, such as 300s"));
        }
        return settings;
    }
}
