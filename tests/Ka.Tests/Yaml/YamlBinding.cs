using Ka.Core.Documents;
using Ka.Yaml;

namespace Ka.Tests.Yaml;

public class YamlBinding
{
    private enum Level
    {
        Soft,
        Hard,
        VeryHard,
    }

    [Fact]
    public void An_unknown_key_is_shown_in_its_line_with_what_was_meant()
    {
        const string Text = "steps:\n  boot: [ { do: kexec, timout: 60s } ]\n";
        var binder = new YamlBinder();
        var step = Assert.IsType<YamlSequence>(binder.Mapping(Read(Text), "the cluster", "steps").Section("steps", "boot").Node("boot"));

        binder.Mapping(step.Items[0], "step 'kexec'", "do", "timeout", "retries");

        Assert.Equal(
            """
            /etc/ka/clusters/graphene.yaml:2:24: error: unknown key 'timout' in step 'kexec'
               2 |   boot: [ { do: kexec, timout: 60s } ]
                 |                        ^^^^^^ did you mean 'timeout'?
            """.ReplaceLineEndings("\n"),
            Assert.Single(binder.Findings).Render(Text));
    }

    [Fact]
    public void All_errors_of_a_document_come_at_once()
    {
        var binder = new YamlBinder();
        var section = binder.Mapping(
            Read("retries: many\nwait: 5 minutes\nsize: 12 parsecs\nlevel: very_hrad\non: yes\nlist: {a: 1}\nbig: 11\n"),
            "step 'reboot'", "name", "retries", "wait", "size", "level", "on", "list", "big");

        section.RequiredText("name");
        section.OptionalInt("retries", 0, 10);
        section.OptionalInt("big", 0, 10);
        section.OptionalDuration("wait");
        section.OptionalSize("size");
        section.OptionalEnum<Level>("level");
        section.OptionalBool("on");
        section.TextList("list");

        Assert.True(binder.HasErrors);
        Assert.Equal(
            [
                "a.yaml:1:1: error: step 'reboot' lacks the key 'name'",
                "a.yaml:1:10: error: 'many' is not good for 'retries' in step 'reboot': expected a whole number from 0 to 10",
                "a.yaml:7:6: error: '11' is not good for 'big' in step 'reboot': expected a whole number from 0 to 10",
                $"a.yaml:2:7: error: '5 minutes' is not good for 'wait' in step 'reboot': expected {Quantity.DurationForm}",
                $"a.yaml:3:7: error: '12 parsecs' is not good for 'size' in step 'reboot': expected {Quantity.SizeForm}",
                "a.yaml:4:8: error: 'very_hrad' is not good for 'level' in step 'reboot': expected one of: soft, hard, very_hard",
                "a.yaml:5:5: error: 'yes' is not good for 'on' in step 'reboot': expected true or false",
                "a.yaml:6:7: error: 'list' in step 'reboot' must be a list, here stands a mapping",
            ],
            binder.Findings.Select(finding => finding.ToString().Replace("/etc/ka/clusters/graphene.yaml", "a.yaml")));
        Assert.Equal("did you mean 'very_hard'?", binder.Findings[5].Next);
    }

    [Fact]
    public void Good_values_are_bound()
    {
        var binder = new YamlBinder();
        var section = binder.Mapping(
            Read("name: 'no'\nretries: 3\nwait: 1h30m\nsize: 200GiB\nlevel: very-hard\non: true\nlist: [a, b]\none: c\nnone: ~\n"),
            "all", "name", "retries", "wait", "size", "level", "on", "list", "one", "none");

        Assert.Equal("no", section.RequiredText("name"));
        Assert.Equal(3, section.OptionalInt("retries", 0, 10));
        Assert.Equal(TimeSpan.FromMinutes(90), section.Duration("wait", TimeSpan.Zero));
        Assert.Equal(200L << 30, section.OptionalSize("size"));
        Assert.Equal(Level.VeryHard, section.Choice("level", Level.Soft));
        Assert.True(section.Bool("on", false));
        Assert.Equal(["a", "b"], section.TextList("list"));
        Assert.Equal(["c"], section.TextList("one"));
        Assert.Null(section.OptionalText("none"));
        Assert.False(binder.HasErrors);
    }

    [Fact]
    public void A_wrong_kind_is_one_error_and_no_missing_keys_follow_it()
    {
        var binder = new YamlBinder();

        binder.Mapping(Read("power: [1]\n"), "the node", "power").Section("power", "kind").RequiredText("kind");

        Assert.Equal("document.wrong_kind", Assert.Single(binder.Findings).Code);
    }

    [Theory]
    [InlineData("90s", 90_000)]
    [InlineData("15m", 900_000)]
    [InlineData("200ms", 200)]
    [InlineData("1h30m", 5_400_000)]
    [InlineData("0", 0)]
    [InlineData("2d", 172_800_000)]
    public void Durations_are_read(string text, long milliseconds)
    {
        Assert.True(Quantity.TryParseDuration(text, out var duration));
        Assert.Equal(milliseconds, duration.TotalMilliseconds);
    }

    [Theory]
    [InlineData("")]
    [InlineData("90")]
    [InlineData("s")]
    [InlineData("1.5h")]
    [InlineData("-1s")]
    [InlineData("30m1h")]
    [InlineData("1s1s")]
    [InlineData("10001d")]
    [InlineData("999999999999d")]
    [InlineData("99999999999999999999s")]
    [InlineData("90 s")]
    public void Other_texts_are_no_durations(string text) => Assert.False(Quantity.TryParseDuration(text, out _));

    [Theory]
    [InlineData("512", 512)]
    [InlineData("64M", 64L << 20)]
    [InlineData("1MiB", 1L << 20)]
    [InlineData("500GB", 500_000_000_000)]
    [InlineData("4 KiB", 4096)]
    public void Sizes_are_read(string text, long bytes)
    {
        Assert.True(Quantity.TryParseSize(text, out var read));
        Assert.Equal(bytes, read);
    }

    [Theory]
    [InlineData("")]
    [InlineData("-1")]
    [InlineData("1.5G")]
    [InlineData("G")]
    [InlineData("9000000000G")]
    [InlineData("99999999999999999999")]
    public void Other_texts_are_no_sizes(string text) => Assert.False(Quantity.TryParseSize(text, out _));

    [Theory]
    [InlineData("timout", "timeout")]
    [InlineData("tiemout", "timeout")]
    [InlineData("Retries", "retries")]
    [InlineData("colour", null)]
    [InlineData("x", null)]
    public void The_nearest_word_is_suggested(string word, string? expected) =>
        Assert.Equal(expected, Suggestion.Nearest(word, ["do", "timeout", "retries"]));

    [Fact]
    public void An_error_never_carries_terminal_control_or_endless_text()
    {
        var error = new DocumentError("x.y", new("f", 1, 1), "m", "\u001b[31m\u202e" + new string('x', 500));

        Assert.Equal(DocumentError.MaxOffending, error.Offending!.Length);
        Assert.DoesNotContain('\u001b', error.Render("\u001b[2J\u001b]52;c;x\u0007"));
    }

    private static YamlNode Read(string text)
    {
        Assert.True(YamlReader.TryParse("/etc/ka/clusters/graphene.yaml", text, YamlLimits.Default, out var root, out var errors), string.Join("\n", errors));
        return root!;
    }
}
