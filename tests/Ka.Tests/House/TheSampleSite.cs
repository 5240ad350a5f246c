using Ka.Core.Documents;
using Ka.Core.NodeSets;
using Ka.Server.Configuration;
using Ka.Server.Environments;

namespace Ka.Tests.House;

/// <summary>samples/site is what a new site copies: all of it must be good.</summary>
public class TheSampleSite
{
    static readonly SiteReading Reading = SiteReader.Read(Path.Combine(Repository.Root, "samples/site/ka.yaml"));

    [Fact]
    public void The_configuration_loads_without_a_finding()
    {
        Assert.Empty(Reading.Findings.Select(f => f.ToString()));
        Assert.NotNull(Reading.Site);
    }

    [Fact]
    public void Every_cluster_file_is_named_in_it() =>
        Assert.Equal(Repository.Files("samples/site/clusters").Count, Reading.Site!.Clusters.Length);

    [Fact]
    public void A_group_overrides_the_defaults_and_a_node_overrides_the_group()
    {
        var nodes = Reading.Site!.AllNodes.ToDictionary(n => n.Node.Name, n => n.Node);
        Assert.Equal(("ipmi", 17), (nodes["gris-1"].Power.Kind, nodes["gris-1"].Power.Cipher));
        Assert.Equal(("ipmi", 3), (nodes["gris-5"].Power.Kind, nodes["gris-5"].Power.Cipher));
        Assert.Equal("command", nodes["gris-8"].Power.Kind);
        Assert.Equal(["bios", "esp", "swap", "root", "prod"], nodes["gris-1"].Layout.Partitions.Select(p => p.Name));
    }

    [Fact]
    public void Its_groups_name_nodes_that_exist()
    {
        var site = Reading.Site!;
        var all = NodeSet.FromNames(site.AllNodes.Select(n => NodeName.Parse(n.Node.Name)));
        Assert.True(NodeSet.TryParse("@rack:*", new NodeSetContext(site.Groups, all, site.NodeLimit), out var grouped, out var error), error?.ToString());
        Assert.Equal(all, grouped);
    }

    [Fact]
    public void A_mistake_in_what_many_nodes_share_is_told_once()
    {
        var folder = Directory.CreateTempSubdirectory("ka-site-");
        try
        {
            foreach (var file in Repository.Files("samples/site"))
            {
                var copy = Path.Combine(folder.FullName, Path.GetRelativePath("samples/site", file));
                Directory.CreateDirectory(Path.GetDirectoryName(copy)!);
                File.WriteAllText(copy, Repository.Read(file).Replace("minSize: 100GiB", "minSizes: 100GiB", StringComparison.Ordinal));
            }
            var finding = Assert.Single(SiteReader.Read(Path.Combine(folder.FullName, "ka.yaml")).Findings);
            Assert.Equal(("document.unknown_key", "did you mean 'minSize'?"), (finding.Error.Code, finding.Error.Next));
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    [Fact]
    public void It_ships_no_secret()
    {
        Assert.All(Reading.Site!.AllNodes.Select(n => n.Node.Power.PasswordFile).OfType<string>(), file => Assert.False(File.Exists(file), file));
        Assert.DoesNotContain("password:", string.Concat(Repository.Files("samples").Select(Repository.Read)), StringComparison.OrdinalIgnoreCase);
    }

    [Fact]
    public async Task Its_partitioning_script_is_kept_by_digest_when_a_deployment_is_accepted()
    {
        var folder = Directory.CreateTempSubdirectory("ka-site-");
        try
        {
            var files = new FileStore(folder.FullName);
            var (cluster, fault) = await SiteScripts.KeepAsync(Reading.Site!.Clusters[0], files, CancellationToken.None);
            Assert.Null(fault);
            var digest = cluster.Nodes.Single(n => n.Name == "gris-7").PartitionScript!;
            Assert.Equal(Repository.Read("samples/site/scripts/partition.sh"), await File.ReadAllTextAsync(files.PathOf(digest)));
            Assert.Null(cluster.Nodes.Single(n => n.Name == "gris-1").PartitionScript);
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    [Fact]
    public void Every_environment_description_loads()
    {
        var files = Repository.Files("samples/site/environments").Where(f => f.EndsWith(".yaml", StringComparison.Ordinal) || f.EndsWith(".env", StringComparison.Ordinal)).ToArray();
        Assert.True(files.Length >= 2);
        foreach (var file in files)
        {
            var (description, errors) = DescriptionReader.Read(file, Repository.Read(file));
            Assert.Empty(errors.Select((DocumentError e) => e.ToString()));
            Assert.NotNull(description);
        }
    }

    [Fact]
    public void Its_scripts_can_be_run()
    {
        foreach (var file in Repository.Files("samples/site/scripts"))
            Assert.True(File.GetUnixFileMode(Path.Combine(Repository.Root, file)).HasFlag(UnixFileMode.UserExecute), $"{file} is not executable");
    }
}
