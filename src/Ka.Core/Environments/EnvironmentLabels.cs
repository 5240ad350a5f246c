using System.Collections.Immutable;
using System.Text.RegularExpressions;

namespace Ka.Core.Environments;

/// <summary>Words by which people sort their environments. They mean nothing to a deployment.</summary>
public static partial class EnvironmentLabels
{
    /// <summary>Most labels of one environment.</summary>
    public const int CountLimit = 32;

    public const string Form = "a key of up to 63 letters, digits, '.', '_', '-' and '/', and a value of up to 128 printable characters";

    public static bool IsKey(string text) => Key().IsMatch(text);

    public static bool IsValue(string text) => text.Length <= 128 && !text.Any(char.IsControl);

    /// <summary>Whether all of the wanted are there. A wanted one without value only has to be there.</summary>
    /// <param name="wanted"><c>KEY</c> or <c>KEY=VALUE</c>.</param>
    public static bool Have(ImmutableSortedDictionary<string, string> labels, IEnumerable<string> wanted) => wanted.All(w =>
        w.Split('=', 2) is [var key, var value] ? labels.TryGetValue(key, out var has) && has == value : labels.ContainsKey(w));

    [GeneratedRegex(@"\A[A-Za-z0-9][A-Za-z0-9._/-]{0,62}\z")]
    private static partial Regex Key();
}
