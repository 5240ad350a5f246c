using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using Ka.Core.Documents;

namespace Ka.Yaml;

/// <summary>
/// One mapping being bound. <c>Required…</c> reports a missing key; <c>Optional…</c> gives null for it; the short names take what to
/// use instead. A value of the wrong form is an error in the binder, and the fallback (or null, or empty) is returned.
/// </summary>
public sealed class YamlSection
{
    private readonly YamlBinder _binder;
    private readonly YamlMapping _mapping;
    private readonly bool _broken;

    internal YamlSection(YamlBinder binder, YamlMapping mapping, string what, bool broken) =>
        (_binder, _mapping, What, _broken) = (binder, mapping, what, broken);

    /// <summary>What the mapping describes, as it stands in errors.</summary>
    public string What { get; }

    /// <summary>Where the mapping begins.</summary>
    public Location At => _mapping.At;

    /// <summary>The entries as written, unknown keys too.</summary>
    public ImmutableArray<YamlEntry> Entries => _mapping.Entries;

    /// <summary>The value as written; null when the key is absent or nothing stands behind it.</summary>
    public YamlNode? Node(string key) => _mapping[key] is YamlScalar { IsNothing: true } ? null : _mapping[key];

    /// <summary>Whether something stands behind the key.</summary>
    public bool Has(string key) => Node(key) is not null;

    /// <summary>Where the value stands, or the mapping itself when the key is absent.</summary>
    public Location PlaceOf(string key) => Node(key)?.At ?? At;

    /// <summary>Notes an error at a key's value.</summary>
    public void Refuse(string key, string code, string message, string? expected = null, string? next = null) =>
        _binder.Refuse(PlaceOf(key), code, message, (Node(key) as YamlScalar)?.Text, expected, next);

    /// <summary>The text behind a key; missing is an error. Empty after an error.</summary>
    public string RequiredText(string key) => RequiredScalar(key)?.Text ?? "";

    /// <summary>The scalar behind a key, with its place; missing is an error. Null after an error.</summary>
    public YamlScalar? RequiredScalar(string key)
    {
        if (!RequireKey(key) || _binder.Scalar(Node(key)!, Name(key)) is not { } scalar)
        {
            return null;
        }

        if (scalar.Text.Length == 0)
        {
            Refuse(key, "document.empty", $"{Name(key)} is empty");
        }

        return scalar;
    }

    /// <summary>The scalar behind a key, with its place, or null.</summary>
    public YamlScalar? OptionalScalar(string key) => Node(key) is { } node ? _binder.Scalar(node, Name(key)) : null;

    /// <summary>The text behind a key, or null.</summary>
    public string? OptionalText(string key) => OptionalScalar(key)?.Text;

    /// <summary>The text behind a key, or the fallback.</summary>
    public string Text(string key, string fallback) => OptionalText(key) ?? fallback;

    /// <summary>A whole number between the two limits, both allowed, or null.</summary>
    public int? OptionalInt(string key, int min, int max)
    {
        if (OptionalScalar(key) is not { } scalar)
        {
            return null;
        }

        if (int.TryParse(scalar.Text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number) && number >= min && number <= max)
        {
            return number;
        }

        WrongValue(key, scalar, $"a whole number from {min} to {max}");
        return null;
    }

    /// <summary>A whole number between the two limits, both allowed.</summary>
    public int Int(string key, int min, int max, int fallback) => OptionalInt(key, min, max) ?? fallback;

    /// <summary>A whole number between the two limits; missing is an error.</summary>
    public int RequiredInt(string key, int min, int max) => RequireKey(key) ? Int(key, min, max, min) : min;

    /// <summary><c>true</c> or <c>false</c> without quotes, or null.</summary>
    public bool? OptionalBool(string key)
    {
        switch (OptionalScalar(key))
        {
            case null:
                return null;
            case { IsPlain: true, Text: "true" }:
                return true;
            case { IsPlain: true, Text: "false" }:
                return false;
            case { } scalar:
                WrongValue(key, scalar, "true or false");
                return null;
        }
    }

    /// <summary><c>true</c> or <c>false</c> without quotes.</summary>
    public bool Bool(string key, bool fallback) => OptionalBool(key) ?? fallback;

    /// <summary>A duration as <see cref="Quantity.TryParseDuration"/> reads it, within the limits when given, or null.</summary>
    public TimeSpan? OptionalDuration(string key, TimeSpan? min = null, TimeSpan? max = null)
    {
        if (OptionalScalar(key) is not { } scalar)
        {
            return null;
        }

        if (!Quantity.TryParseDuration(scalar.Text, out var duration))
        {
            WrongValue(key, scalar, Quantity.DurationForm);
            return null;
        }

        if (duration < min || duration > max)
        {
            WrongValue(key, scalar, $"a duration from {min?.ToString() ?? "0"} to {max?.ToString() ?? "10000d"}");
            return null;
        }

        return duration;
    }

    /// <summary>A duration, or the fallback.</summary>
    public TimeSpan Duration(string key, TimeSpan fallback, TimeSpan? min = null, TimeSpan? max = null) =>
        OptionalDuration(key, min, max) ?? fallback;

    /// <summary>A size in bytes as <see cref="Quantity.TryParseSize"/> reads it, within the limits when given, or null.</summary>
    public long? OptionalSize(string key, long min = 0, long max = long.MaxValue)
    {
        if (OptionalScalar(key) is not { } scalar)
        {
            return null;
        }

        if (!Quantity.TryParseSize(scalar.Text, out var bytes))
        {
            WrongValue(key, scalar, Quantity.SizeForm);
            return null;
        }

        if (bytes < min || bytes > max)
        {
            WrongValue(key, scalar, $"a size from {min:N0} to {max:N0} bytes");
            return null;
        }

        return bytes;
    }

    /// <summary>A size in bytes, or the fallback.</summary>
    public long Size(string key, long fallback, long min = 0, long max = long.MaxValue) => OptionalSize(key, min, max) ?? fallback;

    /// <summary>A member of an enum by its written form: <c>VeryHard</c> is read from <c>very_hard</c> and <c>very-hard</c>. Null when absent.</summary>
    public TEnum? OptionalEnum<TEnum>(string key)
        where TEnum : struct, Enum
    {
        if (OptionalScalar(key) is not { } scalar)
        {
            return null;
        }

        var written = scalar.Text.Replace('-', '_');
        var members = Enum.GetValues<TEnum>();
        foreach (var member in members)
        {
            if (WrittenForm(member) == written)
            {
                return member;
            }
        }

        var forms = members.Select(WrittenForm).ToArray();
        WrongValue(key, scalar, $"one of: {string.Join(", ", forms)}", Suggestion.DidYouMean(written, forms));
        return null;
    }

    /// <summary>A member of an enum, or the fallback.</summary>
    public TEnum Choice<TEnum>(string key, TEnum fallback)
        where TEnum : struct, Enum => OptionalEnum<TEnum>(key) ?? fallback;

    /// <summary>A list of texts; one text alone is a list of one, a missing key an empty list.</summary>
    public ImmutableArray<string> TextList(string key) => [.. ScalarList(key).Select(scalar => scalar.Text)];

    /// <summary>As <see cref="TextList"/>, with the place of each.</summary>
    public ImmutableArray<YamlScalar> ScalarList(string key)
    {
        switch (Node(key))
        {
            case null:
                return [];
            case YamlScalar single:
                return [single];
            case var node:
                var items = _binder.List(node, Name(key)).Select(item => _binder.Scalar(item, $"an item of {Name(key)}"));
                return [.. items.OfType<YamlScalar>()];
        }
    }

    /// <summary>The items of a list of anything; a missing key is an empty list.</summary>
    public ImmutableArray<YamlNode> List(string key) => _binder.List(Node(key), Name(key));

    /// <summary>A mapping behind a key; see <see cref="YamlBinder.Mapping"/>. A missing key gives an empty section: ask <see cref="Has"/> first.</summary>
    public YamlSection Section(string key, params ReadOnlySpan<string> keys) =>
        _binder.Mapping(Node(key) ?? new YamlMapping(At, []), Name(key), keys);

    /// <summary>A mapping behind a key whose own keys are chosen by the person.</summary>
    public ImmutableArray<YamlEntry> Names(string key) => _binder.Names(Node(key), Name(key));

    /// <summary>The form of an enum's member in documents: lower case, words joined by <c>_</c>.</summary>
    public static string WrittenForm<TEnum>(TEnum member)
        where TEnum : struct, Enum
    {
        var form = new StringBuilder();
        foreach (var c in member.ToString())
        {
            if (char.IsAsciiLetterUpper(c) && form.Length > 0)
            {
                form.Append('_');
            }

            form.Append(char.ToLowerInvariant(c));
        }

        return form.ToString();
    }

    private string Name(string key) => $"'{key}' in {What}";

    private bool RequireKey(string key)
    {
        if (!Has(key) && !_broken)
        {
            _binder.Refuse(PlaceOf(key), "document.missing_key", $"{What} lacks the key '{key}'");
        }

        return Has(key);
    }

    private void WrongValue(string key, YamlScalar scalar, string expected, string? next = null) => _binder.Refuse(
        scalar.At, "document.wrong_value", $"'{DocumentError.Cut(scalar.Text)}' is not good for {Name(key)}: expected {expected}",
        scalar.Text, expected, next);
}
