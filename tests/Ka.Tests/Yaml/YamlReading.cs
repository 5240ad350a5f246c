using System.Collections.Immutable;
using Ka.Core.Documents;
using Ka.Yaml;

namespace Ka.Tests.Yaml;

public class YamlReading
{
    [Fact]
    public void Every_value_knows_its_place()
    {
        var root = Read("cluster: graphene\nsteps:\n  boot: [ { do: kexec, timeout: 60s } ]\n");

        var steps = Assert.IsType<YamlMapping>(root["steps"]);
        var boot = Assert.IsType<YamlSequence>(steps["boot"]);
        var step = Assert.IsType<YamlMapping>(Assert.Single(boot.Items));
        Assert.Equal(new Location("a.yaml", 3, 24), step.Entries[1].KeyAt);
        Assert.Equal(new Location("a.yaml", 3, 33), step["timeout"]!.At);
        Assert.Equal("a.yaml:1:10", root["cluster"]!.At.ToString());
    }

    [Fact]
    public void Texts_stay_as_written()
    {
        var root = Read("version: 1.0\nos: no\nquoted: \"007\"\nnothing: ~\nempty:\ntilde: '~'\n");

        Assert.Equal("1.0", Text(root, "version"));
        Assert.Equal("no", Text(root, "os"));
        Assert.Equal("007", Text(root, "quoted"));
        Assert.True(((YamlScalar)root["nothing"]!).IsNothing);
        Assert.True(((YamlScalar)root["empty"]!).IsNothing);
        Assert.False(((YamlScalar)root["tilde"]!).IsNothing);
    }

    [Theory]
    [InlineData("a: 1\nb: 2\na: 3\n", "yaml.duplicate_key", 3, 1)]
    [InlineData("a: {x: 1, x: 2}\n", "yaml.duplicate_key", 1, 11)]
    [InlineData("a: [1\nb: 2\n", "yaml.syntax", 1, 4)]
    [InlineData("a: b: c\n", "yaml.syntax", 1, 5)]
    [InlineData("a:\n\t- b\n", "yaml.syntax", 2, 1)]
    [InlineData("a: 'x\n", "yaml.syntax", 1, 4)]
    [InlineData("a: &x 1\nb: *x\n", "yaml.anchor", 1, 4)]
    [InlineData("b: *x\n", "yaml.alias", 1, 4)]
    [InlineData("a: !!int 1\n", "yaml.tag", 1, 4)]
    [InlineData("a: ! 1\n", "yaml.tag", 1, 4)]
    [InlineData("<<: {a: 1}\n", "yaml.merge_key", 1, 1)]
    [InlineData("? [a]\n: 1\n", "yaml.key_not_text", 1, 3)]
    [InlineData("a: 1\n---\nb: 2\n", "yaml.second_document", 2, 1)]
    [InlineData("a: x\u0000y\n", "yaml.control_character", 1, 5)]
    [InlineData("a: \u001b[31m\n", "yaml.control_character", 1, 4)]
    public void What_configuration_does_not_need_is_refused_with_its_place(string text, string code, int line, int column)
    {
        Assert.False(YamlReader.TryParse("a.yaml", text, YamlLimits.Default, out var root, out var errors));

        Assert.Null(root);
        Assert.Equal((code, line, column), (errors[0].Code, errors[0].At.Line, errors[0].At.Column));
    }

    [Fact]
    public void Half_a_surrogate_pair_is_refused() => Assert.Equal("yaml.control_character", Refused("a: \ud800\n")[0].Code);

    [Fact]
    public void A_duplicate_key_names_both_places()
    {
        var error = Assert.Single(Refused("a: 1\nb: 2\na: 3\n"));

        Assert.Equal("a.yaml:3:1: error: the key 'a' stands twice, first at a.yaml:1:1", error.ToString());
    }

    [Theory]
    [InlineData('[')]
    [InlineData('{')]
    [InlineData('-')]
    public void Deep_nesting_is_refused_before_it_costs_anything(char open)
    {
        var text = open == '-' ? string.Concat(Enumerable.Repeat("- ", 100_000)) : new string(open, 100_000);

        Assert.Equal("yaml.too_deep", Refused(text)[0].Code);
    }

    [Fact]
    public void Too_much_is_refused()
    {
        var limits = YamlLimits.Default with { Nodes = 10, ScalarCharacters = 20, Characters = 200 };

        Assert.Equal("yaml.too_many", Refused("[1,2,3,4,5,6,7,8,9,10,11]", limits)[0].Code);
        Assert.Equal("yaml.too_long", Refused("a: " + new string('x', 21), limits)[0].Code);
        Assert.Equal("yaml.too_long", Refused(new string('#', 201), limits)[0].Code);
    }

    [Theory]
    [InlineData("")]
    [InlineData("# only a comment\n")]
    [InlineData("---\n")]
    [InlineData("\ufeff")]
    public void An_empty_document_is_nothing(string text)
    {
        Assert.True(YamlReader.TryParse("a.yaml", text, YamlLimits.Default, out var root, out _));
        Assert.True(Assert.IsType<YamlScalar>(root).IsNothing);
    }

    [Fact]
    public void No_text_makes_the_reader_throw()
    {
        const string Alphabet = "ab:-[]{},\n  \t'\"&*!|>#%@`?<0~\\";
        var luck = new Random(7);
        for (var i = 0; i < 20_000; i++)
        {
            var text = new string([.. Enumerable.Range(0, luck.Next(40)).Select(_ => Alphabet[luck.Next(Alphabet.Length)])]);

            var good = YamlReader.TryParse("a.yaml", text, YamlLimits.Default, out var root, out var errors);

            Assert.Equal(good, errors.IsEmpty);
            Assert.Equal(good, root is not null);
        }
    }

    private static string Text(YamlMapping root, string key) => Assert.IsType<YamlScalar>(root[key]).Text;

    private static YamlMapping Read(string text)
    {
        Assert.True(YamlReader.TryParse("a.yaml", text, YamlLimits.Default, out var root, out var errors), string.Join("\n", errors));
        return Assert.IsType<YamlMapping>(root);
    }

    private static ImmutableArray<DocumentError> Refused(string text, YamlLimits? limits = null)
    {
        Assert.False(YamlReader.TryParse("a.yaml", text, limits ?? YamlLimits.Default, out _, out var errors));
        return errors;
    }
}
