using System.Collections.Immutable;
using System.Diagnostics;
using System.Text.Json;
using Ka.Core.Environments;
using Ka.Core.Nodes;
using Ka.Engine.Planning;
using Ka.Server.Environments;
using Ka.Simulation;

namespace Ka.Tests.Engine;

public class RenderingTemplates
{
    static readonly ImmutableSortedDictionary<string, string> Hard =
        ImmutableSortedDictionary<string, string>.Empty.Add("var.odd", "it's \"a\" $(touch /tmp/x) `id` \\ ü\u2028").Add("node.name", "gris-1").Add("var.lines", "a\nb");

    static string Render(string text, TemplateTarget target = TemplateTarget.Text)
    {
        Assert.True(NodeTemplate.TryRender(new TemplateFile("/f", text, target, 420), new TemplateValues(Hard), out var rendered, out var errors), string.Join("; ", errors));
        return rendered;
    }

    static TemplateError Error(string text)
    {
        Assert.False(NodeTemplate.TryRender(new TemplateFile("/f", text, TemplateTarget.Text, 420), new TemplateValues(Hard), out _, out var errors));
        return Assert.Single(errors);
    }

    [Theory]
    [InlineData("{{ node.name }}\n", "gris-1\n")]
    [InlineData("a {{node.name}} b {{ node.name }}.", "a gris-1 b gris-1.")]
    [InlineData("{{{{ x }}", "{{ x }}")]
    [InlineData("no braces", "no braces")]
    [InlineData("", "")]
    public void A_value_stands_where_it_is_named(string template, string text) => Assert.Equal(text, Render(template));

    [Fact]
    public void A_shell_reads_the_value_as_one_word_and_runs_nothing()
    {
        var start = new ProcessStartInfo("/bin/sh") { RedirectStandardOutput = true, ArgumentList = { "-c", "printf %s " + Render("{{ var.odd }}", TemplateTarget.Shell) } };
        using var shell = Process.Start(start)!;
        Assert.Equal(Hard["var.odd"], shell.StandardOutput.ReadToEnd());
    }

    [Fact]
    public void A_json_reader_reads_the_value_back() =>
        Assert.Equal(Hard["var.odd"], JsonSerializer.Deserialize<string>(Render("{{ var.odd | json }}")));

    [Fact]
    public void A_yaml_reader_reads_the_value_back()
    {
        Assert.True(Ka.Yaml.YamlReader.TryParse("f", Render("a: {{ var.odd }}\nb: {{ var.lines }}\n", TemplateTarget.Json), Ka.Yaml.YamlLimits.Default, out var root, out _));
        var values = ((Ka.Yaml.YamlMapping)root!).Entries.Select(e => ((Ka.Yaml.YamlScalar)e.Value).Text);
        Assert.Equal([Hard["var.odd"], Hard["var.lines"]], values);
    }

    [Theory]
    [InlineData("a\n {{ node.nam }}", 2, 2, "did you mean 'node.name'?")]
    [InlineData("{{ node.name", 1, 1, "not closed")]
    [InlineData("x{{ node.name | html }}", 1, 2, "no form of a value")]
    [InlineData("{{ var.lines }}", 1, 1, "control character")]
    public void What_cannot_be_rendered_is_said_with_its_place(string template, int line, int column, string why)
    {
        var error = Error(template);
        Assert.Equal((line, column), (error.Line, error.Column));
        Assert.Contains(why, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_description_says_its_files_and_how_values_are_put_into_them()
    {
        var (description, errors) = DescriptionReader.Read("e.yaml", """
            name: e
            image: {file: e.tar}
            files:
              /etc/motd: "{{ node.name }}\n"
              /etc/x.sh: {text: "n={{ node.name }}", mode: "0755"}
              /etc/y: {text: "{{ var.a }}", escape: json}
            """);
        Assert.Empty(errors);
        Assert.Equal(
            [("/etc/motd", TemplateTarget.Text, 420), ("/etc/x.sh", TemplateTarget.Shell, 493), ("/etc/y", TemplateTarget.Json, 420)],
            description!.Templates.Select(t => (t.Path, t.Target, t.Mode)));
    }

    [Theory]
    [InlineData("etc/motd: x", "no absolute path")]
    [InlineData("/etc/../x: x", "no absolute path")]
    [InlineData("/etc/x: \"{{ node.nane }}\"", "did you mean 'node.name'?")]
    [InlineData("/etc/x: {text: x, mode: rwx}", "is no mode")]
    [InlineData("/etc/x: {text: x, escape: html}", "no form of a value")]
    [InlineData("/etc/x: {mode: \"0644\"}", "text")]
    public void What_is_wrong_with_a_file_is_refused_at_registration(string entry, string why)
    {
        var (description, errors) = DescriptionReader.Read("e.yaml", $"name: e\nimage: {{file: e.tar}}\nfiles:\n  {entry}\n");
        Assert.Null(description);
        Assert.Contains(errors, e => e.Message.Contains(why, StringComparison.Ordinal));
    }

    [Fact]
    public void A_variable_that_the_cluster_lacks_is_refused_before_anything_is_done_and_once_for_all_nodes()
    {
        var roster = new Roster(["gris-1", "gris-2"]);
        var cluster = SimulatedDeployment.SampleCluster(roster.Names);
        var environment = SimulatedDeployment.SampleEnvironment with { Files = [new TemplateFile("/etc/x", "{{ var.gateway }}", TemplateTarget.Text, 420)] };
        var fault = Assert.Single(Planner.Plan(new DeployRequest(environment, cluster, cluster.Nodes, true, null)).Faults);
        Assert.Equal("template.invalid", fault.Code.Text);
        var with = cluster with { Variables = ImmutableSortedDictionary<string, string>.Empty.Add("gateway", "10.0.0.1") };
        Assert.Contains("files", Planner.Plan(new DeployRequest(environment, with, with.Nodes, true, null)).Plan!.MacroSteps[1].Strategies[0].Steps.Select(s => s.Name));
    }
}
