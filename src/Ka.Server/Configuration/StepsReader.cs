using System.Collections.Immutable;
using Ka.Core.Clusters;
using Ka.Yaml;

namespace Ka.Server.Configuration;

/// <summary>Reads the strategies of one macro step, in the order in which they are tried.</summary>
static class StepsReader
{
    /// <param name="known">Every strategy of the macro step, with what holds where the file is silent.</param>
    /// <param name="fallback">What is tried when the file says nothing.</param>
    public static ImmutableArray<StrategySettings> Read(
        YamlBinder binder, YamlSection steps, string key, ImmutableArray<StrategySettings> known, ImmutableArray<StrategySettings> fallback)
    {
        if (!steps.Has(key))
            return fallback;
        var strategies = ImmutableArray.CreateBuilder<StrategySettings>();
        foreach (var item in steps.List(key))
        {
            var strategy = binder.Mapping(item, $"a strategy of '{key}'", "do", "retries", "timeout", "level", "first-sign");
            var name = strategy.RequiredText("do");
            var defaults = known.FirstOrDefault(s => s.Do == name);
            if (defaults is null)
            {
                strategy.Refuse("do", SiteReader.Code, $"strategy '{name}' is not known in '{key}'", $"one of: {string.Join(", ", known.Select(k => k.Do))}");
                continue;
            }
            var level = strategy.Text("level", defaults.Level);
            if (level is not ("soft" or "hard" or "very-hard"))
                strategy.Refuse("level", SiteReader.Code, $"'{level}' is no level", "soft, hard or very-hard");
            strategies.Add(new StrategySettings(
                name,
                strategy.Int("retries", 0, 20, defaults.Retries),
                strategy.Duration("timeout", defaults.Timeout, TimeSpan.FromSeconds(1), TimeSpan.FromHours(24)),
                level,
                strategy.OptionalDuration("first-sign", TimeSpan.FromSeconds(1), TimeSpan.FromHours(1)) ?? defaults.FirstSign));
        }
        if (strategies.Count == 0)
            steps.Refuse(key, SiteReader.Code, $"'{key}' has no strategy", "a list such as [ { do: " + known[0].Do + " } ], or leave it out");
        return strategies.ToImmutable();
    }
}
